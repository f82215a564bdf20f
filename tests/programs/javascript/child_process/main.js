const { execFileSync, execSync, spawn, spawnSync, fork, exec } = require('child_process');

if (process.argv[2] === 'child') {
  process.on('message', (message) => { process.send({ twice: message.n * 2, argv: process.execArgv }); process.disconnect(); });
} else {
  console.log(execSync('echo $((6 * 7)); echo "$LD_PRELOAD-$NODE_OPTIONS"').toString().trim().split('\n'));
  console.log(execFileSync(process.execPath, ['-p', '[process.argv.length, process.execArgv, 1 + 1].join()']).toString().trim());
  console.log(spawnSync('sh', ['-c', 'exit 3']).status, spawnSync('sh', ['-c', 'kill -9 $$']).signal, spawnSync('no-such-program').error.code);
  const cat = spawn('cat');
  let text = '';
  cat.stdout.on('data', (data) => { text += data; });
  cat.on('close', (code) => {
    console.log(text.length, code);
    const child = fork(__filename, ['child']);
    child.on('message', (message) => console.log(message));
    child.on('exit', (code) => {
      console.log('child exit', code);
      exec('cat no-such-file', (error, out, err) => console.log(error.code, err.trim()));
      spawnSync('echo', ['straight to the output'], { stdio: 'inherit' });
    });
    child.send({ n: 21 });
  });
  cat.stdin.end('x'.repeat(300000));
}
