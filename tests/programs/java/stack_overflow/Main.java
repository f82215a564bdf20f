public class Main {
    static int depth;

    static int down(int n) {
        depth++;
        return down(n + 1) + 1;
    }

    public static void main(String[] args) {
        for (int i = 0; i < 3; i++) {
            depth = 0;
            try {
                down(0);
            } catch (StackOverflowError e) {
                System.out.println("overflow " + (depth > 2000));
            }
        }
        Thread t = new Thread(null, () -> System.out.println(sum(50_000)), "deep", 64 << 20);
        t.start();
    }

    static long sum(int n) {
        return n == 0 ? 0 : n + sum(n - 1);
    }
}
