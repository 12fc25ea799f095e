/**
 * A keep-alive connection to a server that is measured: no more than HTTP/1.1 needs, because what a client takes of
 * the CPU is missing for the server. (undici takes about three times as much for a request.)
 */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';

const HEAD_END = '\r\n\r\n';

export class Connection {
  readonly #socket: Socket;
  readonly #head: string;
  #answer = '';
  #onAnswer: ((status: number) => void) | undefined;

  private constructor(socket: Socket, head: string) {
    this.#socket = socket;
    this.#head = head;
    socket.setNoDelay(true);
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#take(text));
    // Whoever waits for an answer is told that none will come.
    socket.on('error', () => this.#end(0));
    socket.on('close', () => this.#end(0));
  }

  /** Connects for POSTs of JSON to one URL. */
  static async open(url: string, apiKey: string): Promise<Connection> {
    const { hostname, port, pathname } = new URL(url);
    const socket = connect(Number(port), hostname);
    await once(socket, 'connect');
    const head =
      `POST ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nAuthorization: Bearer ${apiKey}\r\n` +
      'Content-Type: application/json\r\nContent-Length: ';
    return new Connection(socket, head);
  }

  /**
   * Sends a request; one at a time.
   * @param body ASCII
   * @param onAnswer is given the status, or 0 where the connection broke
   */
  post(body: string, onAnswer: (status: number) => void): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(`${this.#head}${body.length}${HEAD_END}${body}`, 'latin1');
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(text: string): void {
    this.#answer += text;
    const headEnd = this.#answer.indexOf(HEAD_END);
    if (headEnd < 0) return;
    const length = Number(/^content-length: *(\d+)/im.exec(this.#answer)?.[1] ?? 0);
    if (this.#answer.length < headEnd + HEAD_END.length + length) return;
    const status = Number(this.#answer.slice(9, 12));
    this.#answer = '';
    this.#end(status);
  }

  #end(status: number): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(status);
  }
}
