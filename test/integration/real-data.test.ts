// Some hundred records of each dataset. All of them are in test/deep/real-data.test.ts.
import { describeRealRecords, inOneList } from '../support/real-records.ts';

describeRealRecords({ most: 350, single: 100 }, inOneList);
