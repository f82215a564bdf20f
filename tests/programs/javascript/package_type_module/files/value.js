export { default as value } from '#own';
