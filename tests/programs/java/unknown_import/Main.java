import com.example.Missing;

public class Main {
    public static void main(String[] args) {}
}
