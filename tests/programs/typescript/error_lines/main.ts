interface Order {
  id: number;
  total?: number;
}

function total(order: Order): number {
  // The line of the next statement is what the trace must name.
  return order.total!.toFixed(2) as unknown as number;
}

console.log('start');
total({ id: 1 } as Order);
