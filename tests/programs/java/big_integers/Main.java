import java.math.*;
import java.util.*;

public class Main {
    public static void main(String[] args) {
        BigInteger f = BigInteger.ONE;
        for (int i = 2; i <= 60; i++) f = f.multiply(BigInteger.valueOf(i));
        System.out.println(f);
        System.out.println(BigInteger.TWO.pow(521).subtract(BigInteger.ONE).isProbablePrime(20));
        System.out.println(new BigDecimal("10").divide(new BigDecimal("3"), 40, RoundingMode.HALF_EVEN));
        System.out.println(new BigInteger("ff", 16).modPow(new BigInteger("65537"), new BigInteger("1000003")));
        System.out.println(0.1 + 0.2 + " " + (float) 1 / 3 + " " + Long.MAX_VALUE + " " + (byte) 200 + " " + -7 / 2 + " " + Math.floorMod(-7, 2));
    }
}
