// SPDX-License-Identifier: GPL-2.0-or-later
// Heap BYTES - a JVM's heap of about that size, and ticks.
import java.util.*;
public class Heap {
    public static void main(String[] a) throws Exception {
        long left = Long.parseLong(a[0]) * 6 / 10;
        Random r = new Random(1);
        List<double[]> grids = new ArrayList<>();
        Map<String, long[]> table = new HashMap<>();
        while (left > 0) {
            double[] g = new double[1 << 14];
            for (int i = 0; i < g.length; i++) g[i] = Math.floor(1000 * r.nextGaussian()) / 1000;
            grids.add(g);
            for (int i = 0; i < 500; i++) table.put("key-" + table.size(), new long[] {i, r.nextInt(100000), 0, 0});
            left -= g.length * 8L + 500 * 130L;
        }
        System.out.println("ready");
        for (long n = 0;; n++) {
            Thread.sleep(50);
            grids.get((int) (n % grids.size()))[0]++;
            System.out.println("tick");
        }
    }
}
