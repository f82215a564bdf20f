console.log(require.main === module, __filename, __dirname, module.id, module.paths[0], process.cwd());
console.log(require('./lib').name, require('./lib') === require('./lib/index.js'), require('./data').list, Object.keys(require.cache).length);
console.log(require('node:path').sep, typeof require('fs').promises.readFile, require.resolve('./lib'));
try { require('./nope'); } catch (error) { console.log(error.code, error.message.split('\n')[0]); }
try { require('left-pad'); } catch (error) { console.log(error.code); }
console.log(new Error('here').stack);
console.log(process.pid > 0, process.execArgv, process.exitCode, process.uptime() < 30, Math.abs(Date.now() - performance.timeOrigin - performance.now()) < 2000);
console.log(Object.keys(globalThis), process.eventNames(), process.listenerCount('exit'));
