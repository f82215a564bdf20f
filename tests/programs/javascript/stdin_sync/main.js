const text = require('fs').readFileSync('/dev/stdin', 'utf8');
console.log(text.split(/\s+/).filter(Boolean).map(Number).sort((a, b) => a - b).join(' '));
console.log(process.argv.slice(2), process.stdin.isTTY, process.stdout.isTTY);
