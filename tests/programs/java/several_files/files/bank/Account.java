package bank;

import bank.util.Money;
import java.util.ArrayList;
import java.util.List;

public class Account {
    private final String owner;
    private final List<Money> entries = new ArrayList<>();

    public Account(String owner) {
        this.owner = owner;
    }

    public void deposit(Money money) {
        entries.add(money);
    }

    @Override
    public String toString() {
        return owner + ": " + entries.stream().reduce(Money.of(0, 0), Money::plus);
    }
}
