// All records of each dataset.
import { describeRealRecords, oneByOne } from '../support/real-records.ts';

describeRealRecords({ most: Number.POSITIVE_INFINITY, single: Number.POSITIVE_INFINITY }, oneByOne);
