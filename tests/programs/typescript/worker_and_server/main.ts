import http from 'http';
import { Worker, isMainThread, parentPort } from 'worker_threads';
import type { AddressInfo } from 'net';

if (isMainThread) {
  const worker = new Worker(__filename);
  worker.on('message', (answer: { sum: number }) => {
    const server = http.createServer((_, response) => response.end(JSON.stringify(answer)));
    server.listen(0, '127.0.0.1', async () => {
      const { port } = server.address() as AddressInfo;
      const body = (await (await fetch(`http://127.0.0.1:${port}`)).json()) as typeof answer;
      console.log(body);
      server.closeAllConnections();
      server.close();
    });
  });
} else {
  let sum: number = 0;
  for (let n = 0; n < 1e6; n++) sum += n;
  parentPort!.postMessage({ sum });
}
