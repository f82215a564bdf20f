import java.util.*;

public class Main {
    static class ConfigException extends RuntimeException {
        ConfigException(String message, Throwable cause) {
            super(message, cause);
        }
    }

    static int parse(String text) {
        try {
            return Integer.parseInt(text);
        } catch (NumberFormatException e) {
            throw new ConfigException("bad number", e);
        }
    }

    public static void main(String[] args) {
        System.out.println(parse("12"));
        List.of("x").forEach(Main::parse);
    }
}
