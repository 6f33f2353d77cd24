/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "t/fuzz/fuzz.h"

#include "common/crimg.h"
#include "common/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

char *fuzz_text(const uint8_t *data, size_t len)
{
    char *text = malloc(len + 1);

    FUZZ_ASSERT(text);
    memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

static char dir_path[256];

static void remove_dir(void)
{
    scratch_remove(dir_path);
}

int fuzz_dir(void)
{
    static int fd = -1;

    if (fd < 0) {
        scratch_make(dir_path);
        atexit(remove_dir);
        fd = open(dir_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        FUZZ_ASSERT(fd >= 0);
    }
    return fd;
}

void fuzz_write(int dirfd, const char *name, const uint8_t *data, size_t len)
{
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    FUZZ_ASSERT(fd >= 0 && write(fd, data, len) == (ssize_t)len);
    close(fd);
}

size_t fuzz_images(const uint8_t *data, size_t len, struct fuzz_image list[FUZZ_IMAGES_MAX])
{
    size_t n = 0, at = 0;

    while (n < FUZZ_IMAGES_MAX && at < len) {
        struct fuzz_image *im = &list[n];
        size_t name = data[at];

        if (name == 0 || name >= sizeof im->name || len - at < 1 + name + 2)
            break;
        memcpy(im->name, data + at + 1, name);
        im->name[name] = '\0';
        at += 1 + name;
        im->len = (size_t)data[at] | (size_t)data[at + 1] << 8;
        at += 2;
        if (im->len > len - at)
            break;
        im->data = data + at;
        at += im->len;
        n++;
    }
    return n;
}

/* Where a random message of the image begins (behind its length) and how long it is. */
static int choose_message(const struct fuzz_image *im, size_t *at, size_t *len)
{
    struct crimg_name parsed;
    struct crimg_iter it;
    const uint8_t *msg;
    size_t n, seen = 0;

    if (!crimg_parse_name(im->name, &parsed) ||
        crimg_open(&it, &parsed, im->data, im->len, NULL) < 0)
        return -1;
    while (crimg_next(&it, &msg, &n, NULL) == 1)
        if ((size_t)rand() % ++seen == 0) {
            *at = (size_t)(msg - im->data);
            *len = n;
        }
    return seen ? 0 : -1;
}

size_t fuzz_images_mutate(uint8_t *data, size_t len, size_t max, unsigned seed)
{
    struct fuzz_image list[FUZZ_IMAGES_MAX], *im;
    size_t n = fuzz_images(data, len, list), at, old, fresh, rest, room;
    uint8_t *msg;

    srand(seed);
    if (n == 0 || rand() % 16 == 0)
        return LLVMFuzzerMutate(data, len, max);
    im = &list[(size_t)rand() % n];
    if (choose_message(im, &at, &old) < 0)
        return LLVMFuzzerMutate(data, len, max);
    msg = data + (im->data - data) + at;
    rest = len - (size_t)(msg - data) - old;
    room = old + (max > len ? max - len : 0);
    if (room > old + 65535 - im->len)
        room = old + 65535 - im->len;
    /* What follows is moved out of the way and behind the new message. */
    {
        uint8_t *tail = malloc(rest ? rest : 1);
        uint8_t *size = data + (im->data - data) - 2;

        FUZZ_ASSERT(tail);
        memcpy(tail, msg + old, rest);
        fresh = room ? LLVMFuzzerMutate(msg, old, room) : old;
        memcpy(msg + fresh, tail, rest);
        free(tail);
        crimg_put32(msg - 4, (uint32_t)fresh);
        size[0] = (uint8_t)(im->len - old + fresh);
        size[1] = (uint8_t)((im->len - old + fresh) >> 8);
    }
    return len - old + fresh;
}
