enum Direction { Up, Down = 5, Left }
enum Status { Open = 'open', Closed = 'closed' }
const enum Bit { A = 1 << 0, B = 1 << 1, Both = A | B }
console.log(Direction.Up, Direction.Left, Direction[5], Object.keys(Direction).length);
console.log(Status.Closed, Object.values(Status), Bit.Both);
const label: Record<Status, string> = { [Status.Open]: 'yes', [Status.Closed]: 'no' };
console.log(label);
