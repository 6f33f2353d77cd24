// SPDX-License-Identifier: GPL-2.0-or-later

import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/** Counter STOP: a chain of hashes, random numbers, a pool of threads and garbage; all recomputed at the end. */
public class Counter {
    static byte[] next(byte[] digest, int n, Random random) throws Exception {
        MessageDigest sha = MessageDigest.getInstance("SHA-256");
        sha.update(digest);
        sha.update((n + " " + random.nextLong()).getBytes());
        return sha.digest();
    }

    static void broken(String what) {
        System.out.println("broken: " + what);
        Runtime.getRuntime().halt(9);
    }

    public static void main(String[] args) throws Exception {
        Path stop = Path.of(args[0]);
        long pid = ProcessHandle.current().pid();
        ExecutorService pool = Executors.newFixedThreadPool(3);
        List<int[]> kept = new ArrayList<>();
        Random random = new Random(42);
        byte[] digest = new byte[0];
        int n = 0;

        System.out.println("start");
        while (!Files.exists(stop)) {
            final int step = ++n;
            List<Callable<Integer>> work = new ArrayList<>();
            int sum = 0;

            digest = next(digest, n, random);
            for (int i = 0; i < 6; i++) {
                final int part = i;
                work.add(() -> step * part);
            }
            for (Future<Integer> f : pool.invokeAll(work))
                sum += f.get();
            if (sum != 15 * n)
                broken("the threads' sum");
            kept.add(new int[] {n, -n});
            if (kept.size() > 1000)
                kept.remove(0);
            System.gc();
            if (ProcessHandle.current().pid() != pid)
                broken("another pid");
            System.out.println("step " + n + " pid " + pid);
            Thread.sleep(50);
        }
        pool.shutdown();
        byte[] again = new byte[0];
        random = new Random(42);
        for (int i = 1; i <= n; i++)
            again = next(again, i, random);
        if (!MessageDigest.isEqual(digest, again))
            broken("the chain of hashes");
        for (int[] pair : kept)
            if (pair[0] != -pair[1])
                broken("the heap");
        System.out.println("result ok");
    }
}
