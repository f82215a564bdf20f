// 5 MB to a pipe.
const line = 'abcdefghijklmnopqrstuvwxyz0123456789'.repeat(28).slice(0, 999);
for (let n = 0; n < 5000; n++) console.log(line);
process.stdout.write('the end');
