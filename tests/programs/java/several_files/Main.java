import bank.Account;
import bank.util.Money;

public class Main {
    public static void main(String[] args) {
        Account account = new Account("ada");
        account.deposit(Money.of(12, 50));
        account.deposit(Money.of(0, 75));
        System.out.println(account + " " + Helper.shout("done"));
        System.out.println(new java.util.Scanner(Main.class.getResourceAsStream("/motto.txt")).nextLine());
    }
}
