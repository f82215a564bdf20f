process.on('exit', (code) => { console.log('exit', code); setTimeout(() => console.log('never'), 0); });
const timer = setInterval(() => {}, 1000);
new Promise(() => {});
(function deep(n) {
  if (n === 0) { console.log('leaving'); process.exit(42); }
  deep(n - 1);
})(50);
console.log('never', timer);
