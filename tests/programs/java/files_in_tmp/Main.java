import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;
import java.util.stream.*;

public class Main {
    public static void main(String[] args) throws IOException {
        Path dir = Files.createTempDirectory("work");
        Path file = dir.resolve("a.txt");
        Files.write(file, List.of("one", "two", "drei ß"));
        try (BufferedWriter out = Files.newBufferedWriter(file, StandardOpenOption.APPEND)) {
            out.write("four\n");
        }
        System.out.println(Files.readAllLines(file) + " " + Files.size(file));
        try (RandomAccessFile random = new RandomAccessFile(file.toFile(), "rw")) {
            random.seek(4);
            random.write("TWO".getBytes(StandardCharsets.US_ASCII));
        }
        try (Stream<Path> walk = Files.walk(dir)) {
            System.out.println(walk.map(p -> dir.relativize(p).toString()).sorted().collect(Collectors.toList()));
        }
        try (ObjectOutputStream out = new ObjectOutputStream(new FileOutputStream(dir.resolve("o").toFile()))) {
            out.writeObject(new ArrayList<>(List.of(1, "x", Map.of("k", 2.5))));
        }
        try (ObjectInputStream in = new ObjectInputStream(new FileInputStream(dir.resolve("o").toFile()))) {
            System.out.println(in.readObject());
        } catch (ClassNotFoundException e) {
            throw new AssertionError(e);
        }
        System.out.println(Files.readString(file).lines().map(String::length).collect(Collectors.toList()));
        try {
            Files.readString(Path.of("/workspace/absent"));
        } catch (NoSuchFileException e) {
            System.out.println(e);
        }
        try {
            Files.writeString(Path.of("/usr/forbidden"), "x");
        } catch (IOException e) {
            System.out.println("refused");
        }
    }
}
