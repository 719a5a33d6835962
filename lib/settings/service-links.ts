/**
 * The variables that Kubernetes sets in every pod for a service, after the service's name. One called `tokenizer`, or
 * `tokenizer-redis`, makes some that look like ours.
 */

/** `TOKENIZER_PORT=tcp://10.0.0.1:6379` */
const ADDRESS = /^(tcp|udp|sctp):\/\//;
/** `TOKENIZER_SERVICE_HOST`, `TOKENIZER_SERVICE_PORT_HTTP`, `TOKENIZER_PORT_6379_TCP_ADDR` */
const NAME = /_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;

export function isServiceLink(variable: string, text: string): boolean {
  return NAME.test(variable) || (variable.endsWith("_PORT") && ADDRESS.test(text));
}

/** One warning for all of them. */
export function serviceLinkWarning([first, ...others]: readonly string[]): readonly string[] {
  if (first === undefined) return [];
  const names = others.length === 0 ? `${first} comes` : `${first} and ${others.length} more come`;
  return [
    `${names} from a Kubernetes service whose name begins with tokenizer: ignored. To keep such variables out of the pod, put enableServiceLinks: false into its spec.`,
  ];
}
