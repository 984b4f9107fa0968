/** The mailer: takes messages to customers and counts them. It sends none. */
import type { Processor, Record } from '#streams';
import type { NotifyCustomer } from '../schema-types.ts';

export class MailerProcessor implements Processor<string, NotifyCustomer, string, unknown> {
  readonly #onMail: (templateCode: string) => void;

  /** `onMail`: told of each message, for counters; must not throw. */
  constructor(onMail: (templateCode: string) => void = () => {}) {
    this.#onMail = onMail;
  }

  process(record: Record<string, NotifyCustomer>): void {
    const command: NotifyCustomer | null = record.value;
    if (command !== null) this.#onMail(command.templateCode);
  }
}
