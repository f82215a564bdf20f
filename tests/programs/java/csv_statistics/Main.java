import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.DoubleSummaryStatistics;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

public class Main {
    record Sale(String region, String product, int amount, double price) {
        static Sale parse(String line) {
            String[] parts = line.split(",");
            return new Sale(parts[0], parts[1], Integer.parseInt(parts[2]), Double.parseDouble(parts[3]));
        }

        double value() {
            return amount * price;
        }
    }

    public static void main(String[] args) throws IOException {
        List<Sale> sales = Files.lines(Path.of("data/sales.csv")).skip(1).map(Sale::parse).collect(Collectors.toList());
        Map<String, DoubleSummaryStatistics> byRegion = sales.stream()
            .collect(Collectors.groupingBy(Sale::region, TreeMap::new, Collectors.summarizingDouble(Sale::value)));
        byRegion.forEach((region, s) -> System.out.printf("%-6s n=%d min=%.2f mean=%.2f max=%.2f%n",
            region, s.getCount(), s.getMin(), s.getAverage(), s.getMax()));
        Sale best = sales.stream().max((a, b) -> Double.compare(a.value(), b.value())).get();
        System.out.println(best);
    }
}
