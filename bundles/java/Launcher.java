// The zygote of the Java bundle: warms the JVM and its compiler up, and becomes the program in every fork.
//
// Runs as `java Launcher.java` inside the bundle's container. It compiles and runs no program itself: `serve`
// returns in the main process of a sandbox only, when every privilege is gone. There it does what
// `java Main.java` would: compiles in memory, finds the class, calls `main` in the main thread, and leaves
// the end to the JVM.

package soulbox;

import java.io.BufferedOutputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.reflect.Field;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.MalformedURLException;
import java.net.URI;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.atomic.AtomicLong;

import javax.lang.model.SourceVersion;
import javax.lang.model.element.NestingKind;
import javax.lang.model.element.TypeElement;
import javax.tools.DiagnosticListener;
import javax.tools.FileObject;
import javax.tools.ForwardingJavaFileManager;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileManager;
import javax.tools.JavaFileObject;
import javax.tools.SimpleJavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.StandardLocation;
import javax.tools.ToolProvider;

import com.sun.source.util.JavacTask;
import com.sun.source.util.TaskEvent;
import com.sun.source.util.TaskListener;
import com.sun.tools.javac.api.JavacTaskPool;

import sun.misc.Unsafe;

/** The zygote, and the program that a fork of it becomes. */
public final class Launcher {
    private static final String SHIM = System.getProperty("soulbox.shim", "/.soulbox/libsoulbox.so");
    static final String WORKSPACE = "/workspace/";

    /** How often each program of the corpus is compiled and run. */
    private static final int ROUNDS = Integer.getInteger("soulbox.rounds", 80);

    private Launcher() {}

    /** Serves forks with the shim, and returns in a fork. The address is that of a `JavaProgram` of the shim. */
    private static native void serve(long program);

    /** Ends the process at once. */
    private static native void exit(int code);

    public static void main(String[] corpus) throws Throwable {
        System.load(SHIM);
        Internals internals = new Internals();
        Heap heap = new Heap(internals);
        Compiler compiler = new Compiler();
        warmUp(compiler, internals, corpus);
        List<byte[]> variables = new ArrayList<>();
        String[] arguments = waitForProgram(internals, heap, variables);
        internals.setEnvironment(variables);
        internals.reseed();
        run(compiler, internals, arguments);
    }

    /**
     * Compiles and runs programs of many kinds, so that what javac and the library do for the first time is
     * behind them in every fork. Ends with a collection, so that a fork finds the young generation empty.
     */
    private static void warmUp(Compiler compiler, Internals internals, String[] corpus) throws Throwable {
        PrintStream out = System.out;
        PrintStream err = System.err;
        List<byte[]> variables = new ArrayList<>();
        System.getenv().forEach((name, value) -> variables.add((name + '=' + value).getBytes(StandardCharsets.UTF_8)));
        try (FileOutputStream nowhere = new FileOutputStream("/dev/null")) {
            System.setOut(new PrintStream(new BufferedOutputStream(nowhere, 128), true));
            System.setErr(System.out);
            for (int round = 0; round < ROUNDS; round++) {
                internals.setEnvironment(variables);
                internals.reseed();
                for (String file : corpus) {
                    mainMethod(compiler.compile(sources(file))).invoke(null, (Object) new String[0]);
                }
                internals.nothingIsLeft();
                if (round == ROUNDS - 4) {
                    // What is compiled after it has its memory in place for the forks again.
                    System.gc();
                }
            }
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        System.gc();
        // The compiler's queue and the reference handlers come to rest.
        Thread.sleep(300);
    }

    private static String[] waitForProgram(Internals internals, Heap heap, List<byte[]> variables) {
        Unsafe memory = internals.unsafe;
        long program = memory.allocateMemory(32);
        serve(program);
        heap.limit(memory.getLong(program + 24));
        long strings = memory.getAddress(program);
        int length = (int) memory.getLong(program + 8);
        String[] arguments = new String[(int) memory.getLong(program + 16)];
        byte[] bytes = new byte[length];
        memory.copyMemory(null, strings, bytes, Unsafe.ARRAY_BYTE_BASE_OFFSET, length);
        int start = 0;
        int count = 0;
        for (int at = 0; at < length; at++) {
            if (bytes[at] != 0) {
                continue;
            }
            if (count < arguments.length) {
                arguments[count] = new String(bytes, start, at - start, StandardCharsets.UTF_8);
            } else {
                variables.add(Arrays.copyOfRange(bytes, start, at));
            }
            count++;
            start = at + 1;
        }
        return arguments;
    }

    /** Runs the program as `java FILE ARGUMENTS` would. What it throws is for the JVM to report. */
    private static void run(Compiler compiler, Internals internals, String[] arguments) throws Throwable {
        Method main;
        try {
            Program program = compiler.compile(sources(arguments[0]));
            main = mainMethod(program);
        } catch (Fault fault) {
            System.err.println(fault.getMessage());
            exit(1);
            return;
        }
        String[] own = Arrays.copyOfRange(arguments, 1, arguments.length);
        try {
            main.invoke(null, (Object) own);
        } catch (InvocationTargetException thrown) {
            Throwable cause = thrown.getCause();
            hideLauncher(cause, true, Collections.newSetFromMap(new IdentityHashMap<>()));
            throw cause;
        }
        if (internals.nothingIsLeft()) {
            // The rest of the JVM's own end could not be seen.
            exit(0);
        }
    }

    /** The program's files, its entrypoint first: all of the workspace. */
    private static List<Source> sources(String entrypoint) {
        List<Source> sources = new ArrayList<>();
        File first = new File(entrypoint);
        sources.add(new Source(first, name(entrypoint)));
        addSources(new File(WORKSPACE), first, sources);
        return sources;
    }

    private static void addSources(File directory, File known, List<Source> sources) {
        File[] files = directory.listFiles();
        if (files == null) {
            return;
        }
        Arrays.sort(files);
        for (File file : files) {
            if (file.isDirectory()) {
                addSources(file, known, sources);
            } else if (file.getPath().endsWith(".java") && !file.equals(known)) {
                sources.add(new Source(file, name(file.getPath())));
            }
        }
    }

    /** What messages call a file: its path in the workspace. */
    private static String name(String path) {
        return path.startsWith(WORKSPACE) ? path.substring(WORKSPACE.length()) : path;
    }

    private static Method mainMethod(Program program) throws Fault, ClassNotFoundException {
        Class<?> type = program.load();
        Method main;
        try {
            main = type.getDeclaredMethod("main", String[].class);
        } catch (NoSuchMethodException none) {
            throw new Fault("error: can't find main(String[]) method in class: " + type.getName());
        }
        int both = Modifier.PUBLIC | Modifier.STATIC;
        if ((main.getModifiers() & both) != both) {
            throw new Fault("error: 'main' method is not declared 'public static'");
        }
        if (main.getReturnType() != void.class) {
            throw new Fault("error: 'main' method is not declared with a return type of 'void'");
        }
        main.setAccessible(true);
        return main;
    }

    /**
     * Takes the frames beneath the program's `main` from the traces of an exception and of what belongs to it.
     * `java FILE` itself takes its own from the one that is thrown, so those stay.
     */
    private static void hideLauncher(Throwable thrown, boolean top, Set<Throwable> seen) {
        if (thrown == null || !seen.add(thrown)) {
            return;
        }
        List<StackTraceElement> trace = new ArrayList<>(Arrays.asList(thrown.getStackTrace()));
        int end = trace.size();
        while (end > 0 && !trace.get(end - 1).getClassName().equals(Launcher.class.getName())) {
            end--;
        }
        int start = end;
        while (start > 0 && isBelowMain(trace.get(start - 1).getClassName())) {
            start--;
        }
        if (start < end) {
            trace.subList(start, top ? end : trace.size()).clear();
            thrown.setStackTrace(trace.toArray(new StackTraceElement[0]));
        }
        hideLauncher(thrown.getCause(), false, seen);
        for (Throwable suppressed : thrown.getSuppressed()) {
            hideLauncher(suppressed, false, seen);
        }
    }

    private static boolean isBelowMain(String type) {
        return type.equals(Launcher.class.getName()) || type.equals("java.lang.reflect.Method")
            || type.startsWith("jdk.internal.reflect.");
    }
}

/** A program that cannot be started; the message is that of `java`. */
final class Fault extends Exception {
    Fault(String message) {
        super(message);
    }
}

/** A file of a program. A class in it may have any name, as `java FILE` has it. */
final class Source extends SimpleJavaFileObject {
    private final File file;
    private final String name;

    Source(File file, String name) {
        super(file.toURI(), Kind.SOURCE);
        this.file = file;
        this.name = name;
    }

    @Override
    public String getName() {
        return name;
    }

    @Override
    public CharSequence getCharContent(boolean ignoreEncodingErrors) throws IOException {
        try (FileInputStream content = new FileInputStream(file)) {
            return new String(content.readAllBytes(), StandardCharsets.UTF_8);
        }
    }

    @Override
    public boolean isNameCompatible(String simpleName, Kind kind) {
        // Any file could be a package-info, which is none.
        return kind == Kind.SOURCE && SourceVersion.isIdentifier(simpleName);
    }
}

/** javac, kept warm: the symbols of the platform stay in its context from one compilation to the next. */
final class Compiler extends ForwardingJavaFileManager<JavaFileManager> {
    private static final List<String> OPTIONS = List.of("-proc:none", "-Xdiags:verbose");

    private final JavaCompiler javac;
    private final JavacTaskPool pool = new JavacTaskPool(1);
    /** Where the classes of the compilation go that is under way: the pool keeps this file manager for good. */
    private Program program;

    Compiler() throws IOException {
        this(ToolProvider.getSystemJavaCompiler());
    }

    private Compiler(JavaCompiler javac) throws IOException {
        super(platform(javac));
        this.javac = javac;
    }

    private static JavaFileManager platform(JavaCompiler javac) throws IOException {
        StandardJavaFileManager files = javac.getStandardFileManager(null, null, StandardCharsets.UTF_8);
        files.setLocation(StandardLocation.CLASS_PATH, List.of());
        return files;
    }

    /** Compiles in memory. What javac has to say goes to standard error. */
    Program compile(List<Source> sources) throws Fault {
        program = new Program(sources.get(0));
        boolean[] said = new boolean[1];
        DiagnosticListener<JavaFileObject> listener = diagnostic -> said[0] = true;
        boolean compiled = pool.getTask(null, this, listener, OPTIONS, null, sources, this::call);
        if (compiled && !said[0]) {
            return program;
        }
        // Only a compilation without a listener says everything as `javac` does, counts included.
        program = new Program(sources.get(0));
        PrintWriter out = new PrintWriter(System.err, true);
        if (!call((JavacTask) javac.getTask(out, this, null, OPTIONS, null, sources))) {
            throw new Fault("error: compilation failed");
        }
        return program;
    }

    private boolean call(JavacTask task) {
        task.addTaskListener(program);
        return task.call();
    }

    @Override
    public JavaFileObject getJavaFileForOutput(Location location, String name, JavaFileObject.Kind kind, FileObject sibling) {
        Map<String, byte[]> classes = program.classes;
        return new SimpleJavaFileObject(URI.create("memory:///" + name.replace('.', '/') + kind.extension), kind) {
            @Override
            public OutputStream openOutputStream() {
                return new ByteArrayOutputStream() {
                    @Override
                    public void close() {
                        classes.put(name, toByteArray());
                    }
                };
            }
        };
    }
}

/** A compiled program: its classes, and which of them has `main`: the first top-level class of the entrypoint. */
final class Program implements TaskListener {
    final Map<String, byte[]> classes = new HashMap<>();
    private final Source entrypoint;
    private String mainClass;

    Program(Source entrypoint) {
        this.entrypoint = entrypoint;
    }

    @Override
    public void started(TaskEvent event) {
        if (mainClass != null || event.getKind() != TaskEvent.Kind.ANALYZE || event.getSourceFile() == null
            || !event.getSourceFile().toUri().equals(entrypoint.toUri())) {
            return;
        }
        TypeElement type = event.getTypeElement();
        if (type.getNestingKind() == NestingKind.TOP_LEVEL) {
            mainClass = type.getQualifiedName().toString();
        }
    }

    /** The class that `java` would start, initialised. */
    Class<?> load() throws Fault, ClassNotFoundException {
        if (mainClass == null) {
            throw new Fault("error: no class declared in source file");
        }
        ClassLoader loader = new Loader(classes);
        Thread.currentThread().setContextClassLoader(loader);
        return Class.forName(mainClass, true, loader);
    }
}

/** Loads a program's classes before any other of the same name; its files are its resources. */
final class Loader extends ClassLoader {
    private final Map<String, byte[]> classes;

    Loader(Map<String, byte[]> classes) {
        super(ClassLoader.getSystemClassLoader());
        this.classes = classes;
    }

    @Override
    protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
        if (!classes.containsKey(name)) {
            return super.loadClass(name, resolve);
        }
        synchronized (getClassLoadingLock(name)) {
            Class<?> loaded = findLoadedClass(name);
            if (loaded == null) {
                byte[] bytes = classes.get(name);
                loaded = defineClass(name, bytes, 0, bytes.length);
            }
            if (resolve) {
                resolveClass(loaded);
            }
            return loaded;
        }
    }

    @Override
    protected URL findResource(String name) {
        File file = new File(Launcher.WORKSPACE, name);
        try {
            return file.exists() ? file.toURI().toURL() : null;
        } catch (MalformedURLException impossible) {
            return null;
        }
    }
}

/**
 * The limit of the heap, set in each fork as its sandbox has it. A JVM takes its limit once, when
 * it starts: the zygote's is the largest. But the old generation grows in a reserved range of addresses, whose
 * end can be moved. HotSpot tells where that is written down, for the debuggers of its serviceability agent.
 */
final class Heap {
    private static final long ALIGNMENT = 1 << 16;

    private final Unsafe memory;
    private final MethodHandle findSymbol;
    private final long young;
    private final long start;
    private final long committedEnd;
    private final long reservedEnd;

    Heap(Internals internals) throws Throwable {
        memory = internals.unsafe;
        findSymbol = internals.trusted.findStatic(ClassLoader.class, "findNative",
            MethodType.methodType(long.class, ClassLoader.class, String.class));
        long heap = memory.getLong(field("Universe", "_collectedHeap", "Address"));
        young = 8 * memory.getLong(memory.getLong(heap + offset("GenCollectedHeap", "_young_gen"))
            + offset("Generation", "_reserved") + offset("MemRegion", "_word_size"));
        long old = memory.getLong(heap + offset("GenCollectedHeap", "_old_gen")) + offset("Generation", "_virtual_space");
        start = memory.getLong(old + offset("VirtualSpace", "_low_boundary"));
        committedEnd = old + offset("VirtualSpace", "_high");
        reservedEnd = old + offset("VirtualSpace", "_high_boundary");
    }

    /** Limits the heap to so many bytes. What it has already is not taken from it. */
    void limit(long bytes) {
        long end = start + Math.max(bytes - young, 0) / ALIGNMENT * ALIGNMENT;
        end = Math.max(end, memory.getLong(committedEnd));
        if (end < memory.getLong(reservedEnd)) {
            memory.putLong(reservedEnd, end);
        }
    }

    private long offset(String type, String name) throws Throwable {
        return memory.getLong(field(type, name, "Offset"));
    }

    /** Where HotSpot's table of its own fields has something of a field. */
    private long field(String type, String name, String what) throws Throwable {
        long typeAt = number("EntryTypeNameOffset");
        long nameAt = number("EntryFieldNameOffset");
        long at = number("EntryArrayStride");
        for (long entry = number("s"); memory.getLong(entry + typeAt) != 0; entry += at) {
            if (isText(memory.getLong(entry + typeAt), type) && isText(memory.getLong(entry + nameAt), name)) {
                long value = entry + number("Entry" + what + "Offset");
                return what.equals("Address") ? memory.getLong(value) : value;
            }
        }
        throw new NoSuchFieldException(type + "::" + name);
    }

    private long number(String name) throws Throwable {
        return memory.getLong((long) findSymbol.invokeExact((ClassLoader) null, "gHotSpotVMStruct" + name));
    }

    private boolean isText(long address, String text) {
        for (int at = 0; at < text.length(); at++) {
            if (memory.getByte(address + at) != text.charAt(at)) {
                return false;
            }
        }
        return memory.getByte(address + text.length()) == 0;
    }
}

/** What no public interface of the JDK reaches, and a fork must change or know. */
final class Internals {
    final Unsafe unsafe;
    final MethodHandles.Lookup trusted;
    private final Map<Object, Object> environment;
    private final MethodHandle variable;
    private final MethodHandle value;
    private final Class<?> hooks;

    Internals() throws Throwable {
        Field instance = Unsafe.class.getDeclaredField("theUnsafe");
        instance.setAccessible(true);
        unsafe = (Unsafe) instance.get(null);
        trusted = (MethodHandles.Lookup) get(MethodHandles.Lookup.class, "IMPL_LOOKUP");
        System.getenv();
        Class<?> process = Class.forName("java.lang.ProcessEnvironment");
        @SuppressWarnings("unchecked")
        Map<Object, Object> known = (Map<Object, Object>) get(process, "theEnvironment");
        environment = known;
        variable = valueOf(Class.forName("java.lang.ProcessEnvironment$Variable"));
        value = valueOf(Class.forName("java.lang.ProcessEnvironment$Value"));
        hooks = Class.forName("java.lang.ApplicationShutdownHooks");
        // Known, so that a fork has nothing to set up.
        ThreadLocalRandom.current();
        reseed();
    }

    private MethodHandle valueOf(Class<?> type) throws ReflectiveOperationException {
        return trusted.findStatic(type, "valueOf", MethodType.methodType(type, byte[].class))
            .asType(MethodType.methodType(Object.class, byte[].class));
    }

    private Object get(Class<?> type, String field) throws ReflectiveOperationException {
        Field found = type.getDeclaredField(field);
        Class.forName(type.getName());
        return unsafe.getObject(unsafe.staticFieldBase(found), unsafe.staticFieldOffset(found));
    }

    /** Makes the environment what the job says. */
    void setEnvironment(List<byte[]> variables) throws Throwable {
        environment.clear();
        for (byte[] text : variables) {
            int at = 0;
            while (text[at] != '=') {
                at++;
            }
            Object name = variable.invokeExact(Arrays.copyOf(text, at));
            environment.put(name, value.invokeExact(Arrays.copyOfRange(text, at + 1, text.length)));
        }
    }

    /**
     * Gives the random generators that exist before the fork a seed of this fork's own. Those that the
     * library makes later, SecureRandom among them, seed themselves.
     */
    void reseed() throws Throwable {
        byte[] fresh = new byte[8 * 3];
        try (FileInputStream random = new FileInputStream("/dev/urandom")) {
            random.read(fresh);
        }
        ByteBuffer seeds = ByteBuffer.wrap(fresh);
        ((AtomicLong) get(ThreadLocalRandom.class, "seeder")).set(seeds.getLong());
        ((AtomicLong) get(Random.class, "seedUniquifier")).set(seeds.getLong());
        ((AtomicLong) get(SplittableRandom.class, "defaultGen")).set(seeds.getLong());
        // A thread whose probe is 0 takes its seed from the seeder at its next use.
        unsafe.putInt(Thread.currentThread(), unsafe.objectFieldOffset(Thread.class.getDeclaredField("threadLocalRandomProbe")), 0);
    }

    /** Whether nothing remains to be done when `main` has returned: no thread that counts, and no hook. */
    boolean nothingIsLeft() throws Throwable {
        Map<?, ?> registered = (Map<?, ?>) get(hooks, "hooks");
        if (registered != null && !registered.isEmpty()) {
            return false;
        }
        ThreadGroup root = Thread.currentThread().getThreadGroup();
        while (root.getParent() != null) {
            root = root.getParent();
        }
        Thread[] threads = new Thread[root.activeCount() + 16];
        int count = root.enumerate(threads);
        for (int at = 0; at < count; at++) {
            if (threads[at] != Thread.currentThread() && !threads[at].isDaemon()) {
                return false;
            }
        }
        return count < threads.length;
    }
}
