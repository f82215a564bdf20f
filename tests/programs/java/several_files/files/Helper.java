class Helper {
    static String shout(String text) {
        return text.toUpperCase() + "!";
    }
}
