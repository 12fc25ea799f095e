/** Stops a statement from outside of its connection, as `psql` does on Ctrl-C. */
import pg from 'pg';

/** Longest time that it may take, in milliseconds. */
const CANCEL_MS = 2_000;

/** A connection whose statement is to be stopped. */
export interface Cancellable {
  readonly host: string;
  readonly port: number;
  readonly ssl: pg.ConnectionConfig['ssl'];
  readonly sslNegotiation: 'postgres' | 'direct';
  readonly processID: number;
  readonly secretKey: number;
}

/** What pg's connection has, and its types leave out. */
interface Wire extends pg.Connection {
  connect(portOrPath: number | string, host?: string): void;
  requestSsl(): void;
  cancel(processId: number, secretKey: number): void;
}

/**
 * Asks the server to stop the statement, over a connection of its own: the protocol's CancelRequest, which poolers pass on.
 * @returns when the server has taken note of it, or hasn't for two seconds; never rejects
 */
export async function cancelStatement(connection: Cancellable): Promise<void> {
  const { host, port, ssl, sslNegotiation, processID, secretKey } = connection;
  const options = { ssl: ssl ?? false, sslNegotiation };
  const wire = new pg.Connection(options) as Wire;
  const request = (): void => wire.cancel(processID, secretKey);
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => wire.stream.destroy(), CANCEL_MS);
    wire.once('end', () => {
      clearTimeout(timer);
      resolve();
    });
    // It ends after an error, too.
    wire.on('error', () => wire.stream.destroy());
    wire.once('sslconnect', request);
    wire.once('connect', () => {
      if (!ssl) request();
      else if (sslNegotiation !== 'direct') wire.requestSsl();
    });
    if (host.startsWith('/')) wire.connect(`${host}/.s.PGSQL.${port}`);
    else wire.connect(port, host);
  });
}
