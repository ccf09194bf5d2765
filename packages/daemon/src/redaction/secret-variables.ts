/** A variable whose value is kept out of what leaves the daemon (X4). */
export interface SecretVariable {
  readonly name: string;
  readonly value: string;
}

/** Anywhere in the name: one word too many is replaced rather than one secret told. */
const secretName = /KEY|TOKEN|SECRET|PASSW|PASSPHRASE|CREDENTIAL|COOKIE|AUTH$|(?:^|_)PAT$/i;

/** `scheme://user:password@host`, under whatever name. */
const urlWithPassword = /:\/\/[^\s/:@]*:([^\s/@]+)@/;

export function passwordInUrl(text: string): string | undefined {
  return urlWithPassword.exec(text)?.[1];
}

/** The one rule for what is secret in an environment: by the name of the variable, and passwords in URLs. */
export function secretVariables(environment: Readonly<Record<string, string>>): SecretVariable[] {
  return Object.entries(environment).flatMap(([name, value]) => {
    if (secretName.test(name)) return [{ name, value }];
    const password = passwordInUrl(value);
    return password === undefined ? [] : [{ name, value: password }];
  });
}
