/** A client that says what HTTP libraries would not say, or not so slowly: on a bare socket. */
import type { Socket } from 'node:net';
import { connect } from 'node:net';
import { KEY } from './inlet.ts';

export class RawClient {
  readonly socket: Socket;
  readonly #closed: Promise<void>;
  #text = '';

  /**
   * @param url of the server
   * @param from the address of this machine that it comes from
   */
  constructor(url: string, from?: string) {
    const { hostname, port } = new URL(url);
    this.socket = connect({ host: hostname, port: Number(port), ...(from ? { localAddress: from } : {}) });
    this.socket.on('data', (chunk) => {
      this.#text += chunk;
    });
    // Being reset is one of the ways to be told to go.
    this.socket.on('error', () => undefined);
    this.#closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
  }

  /** What has been received. */
  get text(): string {
    return this.#text;
  }

  get isClosed(): boolean {
    return this.socket.closed;
  }

  send(text: string | Buffer): this {
    if (this.socket.writable) this.socket.write(text);
    return this;
  }

  /** The beginning of a request with the key, without the empty line after its headers. */
  request(line: string, headers: Record<string, string | number> = {}): this {
    const all = { host: 'inlet', authorization: `Bearer ${KEY}`, ...headers };
    const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
    return this.send(`${line} HTTP/1.1\r\n${lines.join('')}`);
  }

  /** Resolves, when the server has closed the connection, to all that it has sent. */
  async closed(): Promise<string> {
    await this.#closed;
    return this.#text;
  }

  close(): void {
    this.socket.destroy();
  }
}
