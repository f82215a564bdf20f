# tries: to stay in one call of the interpreter for years
# right: timed_out
# limits: {"wall_time_ms": 400}
import re

re.match(r'(a+)+$', 'a' * 64 + '!')
