import { testClient } from '../client/suite.mjs';

testClient('firefox');
