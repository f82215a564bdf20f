import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;

public class Main {
    static boolean isPrime(int n) {
        for (int d = 2; (long) d * d <= n; d++) if (n % d == 0) return false;
        return n > 1;
    }

    public static void main(String[] args) throws Exception {
        ExecutorService pool = Executors.newFixedThreadPool(4);
        List<Future<Integer>> parts = new ArrayList<>();
        for (int part = 0; part < 8; part++) {
            int from = part * 5000;
            parts.add(pool.submit(() -> {
                int count = 0;
                for (int n = from; n < from + 5000; n++) if (isPrime(n)) count++;
                return count;
            }));
        }
        int total = 0;
        for (Future<Integer> part : parts) total += part.get();
        System.out.println(total);
        Future<String> failing = pool.submit(() -> { if (true) throw new IllegalStateException("in a thread"); return ""; });
        try {
            failing.get();
        } catch (ExecutionException e) {
            System.out.println(e.getCause());
        }
        AtomicInteger counter = new AtomicInteger();
        CountDownLatch done = new CountDownLatch(10);
        ConcurrentHashMap<Integer, Integer> map = new ConcurrentHashMap<>();
        for (int i = 0; i < 10; i++) {
            int key = i % 3;
            pool.execute(() -> { counter.incrementAndGet(); map.merge(key, 1, Integer::sum); done.countDown(); });
        }
        done.await();
        System.out.println(counter + " " + map);
        pool.shutdown();
        System.out.println(pool.awaitTermination(10, TimeUnit.SECONDS));
    }
}
