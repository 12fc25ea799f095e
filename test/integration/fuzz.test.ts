// Some requests at random. Many are in test/deep/fuzz.test.ts.
import { fuzzTests } from '../support/fuzz-tests.ts';

fuzzTests({ requests: 300, bytes: 100 });
