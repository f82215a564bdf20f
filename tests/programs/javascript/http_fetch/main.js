const http = require('http');
const net = require('net');

const server = http.createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  response.setHeader('content-type', 'application/json');
  response.end(JSON.stringify({ method: request.method, url: request.url, body }));
});
server.listen(0, 'localhost', async () => {
  const base = `http://localhost:${server.address().port}`;
  const answers = await Promise.all([1, 2, 3].map((n) => fetch(`${base}/item/${n}?q=a%20b`).then((r) => r.json())));
  console.log(answers);
  const posted = await fetch(base, { method: 'POST', body: JSON.stringify({ a: 1 }), headers: { 'x-own': 'yes' } });
  console.log(posted.status, posted.headers.get('content-type'), await posted.text());
  const socket = net.connect(server.address().port, 'localhost', () => socket.write('GET /raw HTTP/1.0\r\n\r\n'));
  let raw = '';
  socket.on('data', (data) => { raw += data; });
  socket.on('close', async () => {
    console.log(raw.split('\r\n')[0]);
    server.closeAllConnections();
    server.close(() => console.log('closed'));
    await fetch('http://localhost:9/').catch((error) => console.log(error.message, Boolean(error.cause)));
  });
});
