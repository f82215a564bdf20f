import java.util.*;

class First {
    public static void main(String[] args) {
        List raw = new ArrayList();
        raw.add("x");
        System.out.println(raw + First.class.getName() + Second.NAME);
    }
}

class Second {
    static final String NAME = "second";
}
