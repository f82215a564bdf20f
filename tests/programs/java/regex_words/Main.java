import java.util.*;
import java.util.regex.*;

public class Main {
    public static void main(String[] args) {
        String log = "2024-01-05 ERROR disk full\n2024-01-06 INFO ok\n2024-02-01 ERROR cpu hot\n";
        Matcher m = Pattern.compile("(?m)^(?<year>\\d{4})-(\\d\\d)-\\d\\d (ERROR|INFO) (.*)$").matcher(log);
        Map<String, List<String>> found = new LinkedHashMap<>();
        while (m.find()) found.computeIfAbsent(m.group(3), k -> new ArrayList<>()).add(m.group("year") + "/" + m.group(2) + ":" + m.group(4));
        System.out.println(found);
        System.out.println("a1b22c333".replaceAll("[0-9]+", "#") + " " + Arrays.toString("x, y;z".split("[,;]\\s*")));
        System.out.println(Pattern.compile("\\b\\w").matcher("the quick fox").replaceAll(r -> r.group().toUpperCase()));
        StringBuilder sb = new StringBuilder();
        for (int i = 0; i < 5; i++) sb.append(i).append(i < 4 ? "-" : "");
        System.out.println(sb.reverse().insert(0, "<").append('>').deleteCharAt(1));
    }
}
