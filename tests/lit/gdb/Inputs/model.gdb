break model.s:16
continue
step
print $fa1
print $t0
x/4fw $t1
watch -location *(float *)$t2
continue
delete 2
set var $fa0.float = 5
print $fa0
set var *(float *)($t1 + 4) = 10
continue
print $t0
continue
set var $t0 = 1
delete
continue
