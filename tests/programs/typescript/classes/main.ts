abstract class Account {
  static #count = 0;
  protected history: number[] = [];
  constructor(public readonly owner: string, private balance: number = 0) { Account.#count++; }
  abstract fee(amount: number): number;
  withdraw(amount: number): this {
    const total = amount + this.fee(amount);
    if (total > this.balance) throw new RangeError(`${this.owner} lacks ${(total - this.balance).toFixed(2)}`);
    this.balance -= total;
    this.history.push(-total);
    return this;
  }
  get left(): number { return this.balance; }
  static get count(): number { return Account.#count; }
}

class Checking extends Account implements Iterable<number> {
  declare tag: string;
  override fee(amount: number): number { return amount * 0.01; }
  *[Symbol.iterator](): IterableIterator<number> { yield* this.history; }
}

const account = new Checking('Ann', 100);
console.log(account.withdraw(10).withdraw(20).left.toFixed(2), [...account], Account.count, 'tag' in account);
try { account.withdraw(1e3); } catch (error: unknown) { if (error instanceof RangeError) console.log(error.message); }
console.log(account);
