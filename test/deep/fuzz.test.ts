// Many requests at random.
import { fuzzTests } from '../support/fuzz-tests.ts';

fuzzTests({ requests: 1_000, bytes: 1_000 });
