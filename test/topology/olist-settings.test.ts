/** The settings table: what is read, refused and documented. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'mocha';
import { StreamsError } from '../../src/base/errors.ts';
import {
  parseProperties,
  readSettings,
  settingRows,
  settingsHelp,
  settingsMarkdown,
  unknownSettings,
} from '../../topology/cli/settings.ts';

const required = { MILLRACE_BROKERS: 'kafka:9092', MILLRACE_REGISTRY_URL: 'http://registry:8081' };

function refusal(environment: Readonly<Record<string, string>>): StreamsError {
  try {
    readSettings({ ...required, ...environment });
  } catch (error) {
    assert.ok(error instanceof StreamsError);
    return error;
  }
  throw new Error('it was not refused');
}

describe('the settings of millrace run', () => {
  it('have defaults but for the two addresses', () => {
    const settings = readSettings(required);
    assert.equal(settings.brokers, 'kafka:9092');
    assert.equal(settings.commitIntervalMs, 100);
    assert.equal(settings.createTopics, false);
    assert.equal(settings.timerProfile, 'webshop');
    assert.throws(() => readSettings({}), /MILLRACE_BROKERS is not set/);
  });

  const wrong: readonly (readonly [name: string, value: string, says: RegExp])[] = [
    ['MILLRACE_COMMIT_INTERVAL_MS', '4', /is "4".*5 to 60000 ms/],
    ['MILLRACE_COMMIT_INTERVAL_MS', '1e3', /is "1e3"/],
    ['MILLRACE_HTTP_PORT', '70000', /0 to 65535 port/],
    ['MILLRACE_CREATE_TOPICS', 'yes', /true or false/],
    ['MILLRACE_TIMER_PROFILE', 'fast', /one of webshop, olist-replay, demo/],
    ['MILLRACE_LOG_LEVEL', 'loud', /one of error, warn, info, debug/],
  ];
  for (const [name, value, says] of wrong) {
    it(`refuse ${name}=${value} by its name`, () => {
      const error = refusal({ [name]: value });
      assert.equal(error.code, 'SETTING_INVALID');
      assert.equal(error.context.setting, name);
      assert.match(error.message, new RegExp(`^${name} `));
      assert.match(error.message, says);
    });
  }

  it('name what looks like a setting and is none', () => {
    const environment = { ...required, MILLRACE_COMIT_INTERVAL_MS: '5', MILLRACE_TEST_KAFKA: 'x', PATH: '/' };
    assert.deepEqual(unknownSettings(environment), ['MILLRACE_COMIT_INTERVAL_MS']);
  });

  it('take more properties of the Kafka client as name=value', () => {
    assert.deepEqual(parseProperties('security.protocol=SASL_SSL;sasl.password=a=b; '), {
      'security.protocol': 'SASL_SSL',
      'sasl.password': 'a=b',
    });
    assert.throws(() => parseProperties('nonsense'), /MILLRACE_KAFKA_PROPERTIES/);
  });

  it('are all in --help and in docs/config.md', () => {
    // After a change of the table: MILLRACE_TEST_WRITE=1 with this test writes the file anew.
    if (process.env.MILLRACE_TEST_WRITE === '1') writeFileSync('docs/config.md', settingsMarkdown());
    assert.equal(readFileSync('docs/config.md', 'utf8'), settingsMarkdown());
    for (const { name } of Object.values(settingRows)) assert.ok(settingsHelp().includes(name));
  });
});
