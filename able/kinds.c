/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What each kind of finding is called and what its owner can do: the table in scheckpoint(1) follows this one.
 */
#include "able/impl.h"

#include <string.h>

static const struct {
    const char *name, *remedy;
} kinds[ABLE_KINDS] = {
    [ABLE_IO_URING] = {"io_uring",
                       "use the program's other I/O engine (libuv: UV_USE_IO_URING=0; fio: "
                       "--ioengine=libaio or psync)"},
    [ABLE_PERF] = {"perf", "run it without perf or hardware counters (PAPI, HPCToolkit, Score-P)"},
    [ABLE_USERFAULTFD] =
        {"userfaultfd",
         "run it without what uses it (UCX: UCX_MEM_EVENTS=no; a JVM or QEMU option)"},
    [ABLE_NOTIFY] = {"file-watch",
                     "switch the watching of files off (often an option to poll instead)"},
    [ABLE_ANON] = {"kernel-object", "close it before a checkpoint"},
    [ABLE_GPU] = {"gpu", "use the program's own checkpoints, or run this part on the CPU "
                         "(CUDA_VISIBLE_DEVICES= , HIP_VISIBLE_DEVICES=)"},
    [ABLE_RDMA] =
        {"rdma", "run on one node without RDMA (UCX_TLS=self,sm; Open MPI: --mca pml ob1 --mca btl "
                 "self,vader; Intel MPI: I_MPI_FABRICS=shm)"},
    [ABLE_DEVICE] = {"device", "close the device before a checkpoint"},
    [ABLE_SYSV] = {"sysv-shm",
                   "use POSIX shared memory or mmap (Open MPI: --mca shmem mmap; Intel MPI: "
                   "I_MPI_SHM=off; PostgreSQL: shared_memory_type=mmap)"},
    [ABLE_HUGE] = {"huge-pages",
                   "use transparent huge pages: madvise(MADV_HUGEPAGE) for MAP_HUGETLB "
                   "(glibc: GLIBC_TUNABLES=glibc.malloc.hugetlb=1; a JVM: "
                   "-XX:+UseTransparentHugePages)"},
    [ABLE_TCP] = {"tcp-connection",
                  "close it before a checkpoint and connect anew afterwards (MPI on one node: "
                  "UCX_TLS=self,sm or --mca btl self,vader)"},
    [ABLE_TCP_WAITING] = {"tcp-waiting", "try again in a moment"},
    [ABLE_UNIX] = {"unix-connection",
                   "close it before a checkpoint, or run the service inside the job"},
    [ABLE_UNIX_SHORT] = {"service-connection",
                         "mostly short: it is tried again; else have the program close it "
                         "(endpwent(), closelog(), no D-Bus session)"},
    [ABLE_NAMESPACE] = {"namespace",
                        "run the program outside the container (unpack the image, or use it "
                        "through modules)"},
    [ABLE_UNREADABLE] = {"unreadable",
                         "have the program made readable (chmod +r), or use a copy that is"},
    [ABLE_CLOSED] = {"closed-process",
                     "end it before a checkpoint (ssh-agent, gpg-agent and the like)"},
    [ABLE_USER] = {"other-user", "run nothing setuid or setgid inside the job"},
    [ABLE_TRACED] = {"traced", "detach the debugger, strace or ltrace"},
    [ABLE_SECCOMP] = {"seccomp",
                      "run the program without its sandbox (often an option such as --no-sandbox)"},
    [ABLE_GHOST] = {"deleted-file",
                    "keep a name for files of that size while they are open, or use less"},
    [ABLE_MEMORY] = {"memory-limit", "ask for a little more with --mem; it is tried again later"},
    [ABLE_RENAMED] = {"deleted-name",
                      "delete the file's other names too, or none, while it is open"},
};

/* The names of devices that tell what they are for. */
static const struct {
    const char *prefix;
    enum able_kind kind;
} devices[] = {
    {"/dev/nvidia", ABLE_GPU}, {"/dev/dri/", ABLE_GPU},     {"/dev/kfd", ABLE_GPU},
    {"/dev/accel", ABLE_GPU},  {"/dev/gdrdrv", ABLE_GPU},   {"/dev/infiniband/", ABLE_RDMA},
    {"/dev/hfi1", ABLE_RDMA},  {"/dev/cxi", ABLE_RDMA},     {"/dev/ipath", ABLE_RDMA},
    {"/dev/bxi", ABLE_RDMA},   {"/dev/xpmem", ABLE_DEVICE}, {"/dev/knem", ABLE_DEVICE},
    {"/dev/kvm", ABLE_DEVICE}, {"/dev/fuse", ABLE_DEVICE},  {"/dev/vfio/", ABLE_DEVICE},
};

enum able_kind able_device_kind(const char *path)
{
    for (size_t i = 0; i < sizeof devices / sizeof devices[0]; i++)
        if (strncmp(path, devices[i].prefix, strlen(devices[i].prefix)) == 0)
            return devices[i].kind;
    return ABLE_KINDS;
}

const char *able_kind_name(enum able_kind kind)
{
    return kind < ABLE_KINDS ? kinds[kind].name : "?";
}

const char *able_remedy(const struct able_finding *f)
{
    return f->kind < ABLE_KINDS ? kinds[f->kind].remedy : "";
}
