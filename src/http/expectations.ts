/** The `Expect` header (RFC 9110, 10.1.1). */
import type { FastifyInstance } from 'fastify';

/** A client that waits to be told to send its body is told when that is wanted. What is refused before gets its answer at once. */
export function answerExpectations({ server }: FastifyInstance): void {
  server.on('checkContinue', (request, response) => {
    const { shouldKeepAlive } = response;
    // Who isn't told to go on may leave the body out: whatever came next would be taken for it.
    response.shouldKeepAlive = false;
    // Whoever reads the body resumes it.
    request.once('resume', () => {
      if (response.headersSent) return;
      response.shouldKeepAlive = shouldKeepAlive;
      response.writeContinue();
    });
    server.emit('request', request, response);
  });
  // Node would answer one that it doesn't know with an empty 417; a server may pass over it.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response));
}
