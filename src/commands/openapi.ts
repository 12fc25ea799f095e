/** `inlet openapi`: prints the API's document. It needs no database. */
import type { Command } from 'commander';
import { readConfig } from '../config.ts';
import { VERSION } from '../version.ts';
import type { Terminal } from './terminal.ts';

export function addOpenApiCommand(program: Command, terminal: Terminal): void {
  program
    .command('openapi')
    .description('print what the API can do, as OpenAPI 3.1 (its server is INLET_PUBLIC_URL)')
    .action(async () => {
      const { openApiDocument } = await import('../http/openapi/document.ts');
      const { localUrl } = await import('../startup.ts');
      const { publicUrl, host, port } = readConfig(terminal.env);
      const document = openApiDocument(publicUrl ?? localUrl(host, port), VERSION);
      // A reader that has seen enough, like head, is no error.
      terminal.stdout.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code !== 'EPIPE') throw error;
      });
      terminal.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
    });
}
