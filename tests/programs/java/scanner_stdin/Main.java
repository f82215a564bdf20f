import java.util.*;

public class Main {
    public static void main(String[] args) {
        Scanner in = new Scanner(System.in);
        int n = in.nextInt();
        long sum = 0;
        List<String> names = new ArrayList<>();
        for (int i = 0; i < n; i++) {
            names.add(in.next());
            sum += in.nextLong();
        }
        in.nextLine();
        System.out.println(sum + " " + names);
        while (in.hasNextLine()) System.out.println("[" + in.nextLine() + "]");
        System.out.println(String.join("|", args));
    }
}
