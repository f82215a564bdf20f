import java.util.*;
import java.text.SimpleDateFormat;
import java.time.*;
import java.time.format.DateTimeFormatter;

public class Main {
    static final Map<String, Integer> TABLE = new HashMap<>();
    static {
        TABLE.put("a", 1);
        System.out.println("static");
    }

    interface Visitor<R> { R visit(Node n); }
    static class Node {
        final int value; final List<Node> children = new ArrayList<>();
        Node(int value, Node... children) { this.value = value; this.children.addAll(Arrays.asList(children)); }
        <R> R accept(Visitor<R> v) { return v.visit(this); }
    }
    enum Op { ADD { int apply(int a, int b) { return a + b; } }, MUL { int apply(int a, int b) { return a * b; } }; abstract int apply(int a, int b); }

    public static void main(String[] args) throws Exception {
        Node tree = new Node(1, new Node(2, new Node(4)), new Node(3));
        Visitor<Integer> sum = new Visitor<>() { public Integer visit(Node n) { int s = n.value; for (Node c : n.children) s += c.accept(this); return s; } };
        System.out.println(tree.accept(sum) + " " + TABLE + " " + Op.MUL.apply(6, 7) + " " + EnumSet.allOf(Op.class));
        System.out.println(LocalDate.of(2024, 2, 28).plusDays(2) + " " + Duration.ofMinutes(135) + " " + DateTimeFormatter.ofPattern("dd.MM.yyyy").format(LocalDate.of(2024, 12, 3)) + " " + LocalDate.of(2024, 2, 28).getDayOfWeek());
        System.out.println(Thread.currentThread().getName() + " " + Main.class.getDeclaredMethods().length + " " + Class.forName("Main$Node").getSimpleName());
        java.lang.reflect.Method m = Main.class.getDeclaredMethod("secret", int.class);
        System.out.println(m.invoke(null, 4));
        try { Objects.requireNonNull(null, "nothing"); } catch (NullPointerException e) { System.out.println(e.getMessage()); }
        System.out.println("é".length() + " " + "日本".codePointCount(0, 2) + " ñ");
    }
    private static int secret(int x) { return x * 10; }
}
