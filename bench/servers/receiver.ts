/** A receiver of webhooks that takes everything at once, and tells at `/count` how many it has taken. */
import { createServer } from 'node:http';
import { onTerminate, readSettings } from './settings.ts';

let taken = 0;

const server = createServer((request, response) => {
  request.resume();
  if (request.method === 'POST') {
    taken += 1;
    response.writeHead(204).end();
  } else {
    response.end(String(taken));
  }
});
onTerminate(async () => {
  server.closeAllConnections();
  server.close();
});
server.listen(readSettings().port, '127.0.0.1');
