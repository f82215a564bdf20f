import java.util.concurrent.*;
import java.util.stream.*;

public class Main {
    public static void main(String[] args) throws Exception {
        CompletableFuture<Integer> a = CompletableFuture.supplyAsync(() -> 20);
        CompletableFuture<Integer> b = CompletableFuture.supplyAsync(() -> { sleep(20); return 22; });
        System.out.println(a.thenCombine(b, Integer::sum).get(5, TimeUnit.SECONDS));
        System.out.println(CompletableFuture.supplyAsync(() -> { if (true) throw new RuntimeException("broken"); return 1; })
            .exceptionally(e -> { System.out.println(e.getMessage()); return -1; }).join());
        System.out.println(IntStream.rangeClosed(1, 1000).parallel().mapToLong(i -> (long) i * i).sum());
        System.out.println(CompletableFuture.allOf(a, b).thenApply(x -> "all").join());
        ScheduledExecutorService timer = Executors.newScheduledThreadPool(1);
        System.out.println(timer.schedule(() -> "scheduled", 10, TimeUnit.MILLISECONDS).get());
        timer.shutdownNow();
    }

    static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
