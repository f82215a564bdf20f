import java.util.*;
import java.util.stream.*;

public class Main {
    sealed interface Shape permits Circle, Rectangle {}
    record Circle(double radius) implements Shape {}
    record Rectangle(double width, double height) implements Shape {
        Rectangle {
            if (width < 0 || height < 0) throw new IllegalArgumentException("negative side");
        }
    }

    static double area(Shape shape) {
        if (shape instanceof Circle c) return Math.PI * c.radius() * c.radius();
        if (shape instanceof Rectangle r) return r.width() * r.height();
        throw new AssertionError();
    }

    public static void main(String[] args) {
        List<Shape> shapes = List.of(new Circle(1), new Rectangle(2, 3), new Circle(0.5), new Rectangle(1, 1));
        System.out.println(shapes.stream().map(s -> String.format(Locale.ROOT, "%.3f", area(s))).collect(Collectors.joining(" ")));
        System.out.println(shapes.stream().collect(Collectors.partitioningBy(s -> area(s) > 1, Collectors.counting())));
        System.out.println(new Rectangle(2, 3).equals(new Rectangle(2, 3)) + " " + new Circle(2));
        Map<Integer, Integer> powers = IntStream.iterate(1, i -> i * 3).limit(8).boxed().collect(Collectors.toMap(i -> i, i -> i % 7, (a, b) -> a, TreeMap::new));
        System.out.println(powers);
        System.out.println(Stream.of("b", "a", "c").flatMap(s -> Stream.of(s, s + s)).sorted(Comparator.reverseOrder()).toList());
        try {
            new Rectangle(-1, 2);
        } catch (IllegalArgumentException e) {
            System.out.println(e);
        }
        var text = """
            a "text"
              block
            """;
        System.out.print(text);
    }
}
