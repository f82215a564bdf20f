# tries: to live on while another sandbox signals everybody
# right: held
import time

time.sleep(0.5)
print('held')
