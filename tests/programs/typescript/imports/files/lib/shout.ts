export default function shout<T extends string>(text: T): string { return `${text.toUpperCase()}!`; }
