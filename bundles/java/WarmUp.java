import java.util.*;
import java.util.function.*;
import java.util.stream.*;

public class WarmUp {
    record Point(int x, double y) {
        Point { if (x < 0) throw new IllegalArgumentException("negative: " + x); }
        double length() { return Math.sqrt(x * x + y * y); }
    }
    interface Shape { double area(); }
    enum Color { RED, GREEN, BLUE; Color next() { return values()[(ordinal() + 1) % values().length]; } }
    static abstract class Base implements Shape, Comparable<Shape> {
        protected final String name; private static int count;
        Base(String name) { this.name = name; count++; }
        public int compareTo(Shape other) { return Double.compare(area(), other.area()); }
        @Override public String toString() { return String.format("%s[%.2f]", name, area()); }
    }
    static class Square extends Base { final double side; Square(double side) { super("square"); this.side = side; } public double area() { return side * side; } }
    static <T extends Comparable<T>> T max(List<? extends T> list) { T best = null; for (T t : list) if (best == null || t.compareTo(best) > 0) best = t; return best; }
    static long fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

    public static void main(String[] args) {
        List<String> words = new ArrayList<>(Arrays.asList("one two three four five six one two".split(" ")));
        Map<String, Integer> counts = new HashMap<>();
        for (String word : words) counts.merge(word, 1, Integer::sum);
        System.out.println(counts + " " + new TreeMap<>(counts));
        System.out.println(words.stream().filter(w -> w.length() > 3).map(String::toUpperCase).sorted(Comparator.comparing(String::length).thenComparing(Comparator.reverseOrder())).collect(Collectors.joining(", ", "[", "]")));
        Map<Integer, List<String>> groups = words.stream().collect(Collectors.groupingBy(String::length, TreeMap::new, Collectors.toList()));
        groups.forEach((k, v) -> System.out.printf("%d: %s%n", k, v));
        System.out.println(IntStream.rangeClosed(1, 10).mapToObj(i -> new Point(i, i * 0.5)).mapToDouble(Point::length).summaryStatistics());
        int[][] grid = new int[4][5];
        for (int i = 0; i < grid.length; i++) for (int j = 0; j < grid[i].length; j++) grid[i][j] = i * j;
        System.out.println(Arrays.deepToString(grid) + Arrays.stream(grid[3]).sum());
        StringBuilder text = new StringBuilder();
        for (char c = 'a'; c <= 'z'; c++) text.append(c).append(c % 2 == 0 ? '-' : '+');
        System.out.println(text.reverse().toString().toUpperCase().replace('-', ' ').trim().substring(3));
        try { new Point(-1, 0); } catch (IllegalArgumentException | NullPointerException e) { System.out.println("caught " + e.getMessage()); } finally { System.out.println("done"); }
        try { words.get(99); } catch (IndexOutOfBoundsException e) { System.err.println(e); }
        Deque<Integer> queue = new ArrayDeque<>(); PriorityQueue<Integer> heap = new PriorityQueue<>(Comparator.reverseOrder()); Set<Integer> seen = new LinkedHashSet<>();
        for (int i = 0; i < 20; i++) { queue.push(i * 7 % 11); heap.add(i * 5 % 13); seen.add(i % 6); }
        while (!queue.isEmpty()) { int top = queue.poll(); if (top > 8) break; else if (top == 3) continue; }
        Iterator<Integer> it = seen.iterator(); while (it.hasNext()) if (it.next() % 2 == 0) it.remove();
        System.out.println(heap.poll() + " " + seen + " " + max(List.of(3, 9, 4)) + " " + fib(10));
        Function<Integer, Function<Integer, Integer>> add = a -> b -> a + b; BiFunction<Integer, Integer, Integer> mul = (a, b) -> a * b; Supplier<List<String>> make = ArrayList::new;
        System.out.println(add.apply(3).apply(4) + mul.apply(5, 6) + make.get().size());
        Color color = Color.RED; switch (color) { case RED: color = color.next(); break; default: break; }
        String name = switch (color) { case RED -> "r"; case GREEN -> { yield "g"; } case BLUE -> "b"; };
        Object o = new Square(2.5); if (o instanceof Square s && s.side > 1) System.out.println(s + name);
        Shape anonymous = new Shape() { public double area() { return 1.0; } };
        var list = new LinkedList<Shape>(List.of(anonymous, new Square(3))); list.sort(Comparator.comparingDouble(Shape::area));
        Optional<String> first = words.stream().skip(1).findFirst(); System.out.println(first.map(String::length).orElse(0));
        String block = """
            Hello, %s!
              %5.2f %05d %x
            """.formatted("world", 3.14159, 42, 255); System.out.print(block);
        long total = 0; for (int i = 0; i < 1000; i++) { total += i ^ (i << 2) | (i >>> 1) & 0xff; } int k = 10; do { k--; total %= 1_000_007; } while (k > 0);
        System.out.println(total + " " + Integer.parseInt("42") + Long.toHexString(total) + Double.parseDouble("2.5") + (char) ('a' + 1) + (int) 3.7 + Integer.toBinaryString(10) + Objects.hash(1, 2));
        Scanner scanner = new Scanner("3 4.5 word\nline two\n"); System.out.println(scanner.nextInt() + scanner.nextDouble() + scanner.next() + scanner.nextLine() + scanner.hasNextLine());
        System.out.println(String.join("|", Collections.nCopies(3, "ab")) + "a,b;c".split("[,;]").length + "x".repeat(3) + "abc".chars().sum() + "hello".charAt(1) + "Hello".equals("hello") + "b".compareTo("a") + "abc".contains("b") + "abc".indexOf('c'));
    }
}
