class Main {
    void run() {}
}
