/** Messages to the customer, as commands. Once per template and subject: that is what keeps a retry from writing twice. */
import type { Work } from './decision.ts';

/** `about`: a shipment or payment that the message is about; '' for the order as a whole. */
export function notify(
  work: Work,
  templateCode: string,
  about = '',
  params: Readonly<Record<string, string>> = {},
): void {
  const subject = about === '' ? templateCode : `${templateCode}/${about}`;
  work.send('NotifyCustomer', subject, (base) => ({
    type: 'NotifyCustomer',
    ...base,
    templateCode,
    channel: 'email',
    params,
  }));
}
