package bank.util;

public record Money(long cents) {
    public static Money of(long whole, int cents) {
        return new Money(whole * 100 + cents);
    }

    public Money plus(Money other) {
        return new Money(cents + other.cents);
    }

    @Override
    public String toString() {
        return cents / 100 + "." + String.format("%02d", cents % 100);
    }
}
